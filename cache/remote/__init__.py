"""Caches that teams share: what a remote is asked, over HTTP and over the Remote Execution API, and when it is left alone."""
