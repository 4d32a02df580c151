"""Every sentence and slide title, in English and Korean, and what fills them in from results."""
