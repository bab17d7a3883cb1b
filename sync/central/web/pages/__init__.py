"""One module for each group of pages; each has a `router`. They read the store, call it, and draw."""
