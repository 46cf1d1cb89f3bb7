"""``python -m hf_assets``: the ``hf`` command of this project.

``huggingface_hub`` installs a command ``hf`` too, and whichever was installed last has the name.
"""

from hf_assets.cli import main

if __name__ == "__main__":
    main()
