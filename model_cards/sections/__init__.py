"""The sections of a model card, one template and one module each; `evenhand.model_cards.card` puts them in order."""
