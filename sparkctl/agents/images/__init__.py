"""Images of users: checked, kept, fetched, and shown to models as data URLs."""
