"""The Space's page: the models that models.json names, beside one another."""

from pathlib import Path

from evenhand.model_cards.space.compared_models import load_models, read_models
from evenhand.model_cards.space.page import page, serve

if __name__ == "__main__":
    serve(page(load_models(read_models(Path(__file__).resolve().with_name("models.json")))))
