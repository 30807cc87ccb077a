"""The app that puts teacher and students side by side on a user's own word lists and sentences."""
