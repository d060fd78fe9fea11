"""Where Spirits come from: manifests, versions, packages."""
