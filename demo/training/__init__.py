"""How the demo models were trained and measured."""
