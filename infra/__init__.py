"""Settings, logging, metrics, folders: imported only where things are assembled."""
