"""What talks to the Hugging Face Hub, or lays out a folder for it."""
