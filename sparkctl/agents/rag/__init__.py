"""Documents of users: read, cut into chunks, indexed, searched, cited."""
