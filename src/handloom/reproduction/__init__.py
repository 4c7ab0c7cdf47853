"""The papers' tables, trained and scored again on any store, side by side with what was published."""
