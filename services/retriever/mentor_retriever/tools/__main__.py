"""``python -m mentor_retriever.tools``, which ``mentor index`` runs."""

from mentor_retriever.tools.app import app

if __name__ == "__main__":
    app(prog_name="mentor index")
