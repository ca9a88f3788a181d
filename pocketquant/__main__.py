"""`python -m pocketquant` is `pq`."""

from pocketquant.cli import main

if __name__ == "__main__":
    main()
