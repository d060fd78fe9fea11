"""Programs in DOL, AssemblyScript and C, in one engine; see README.md."""
