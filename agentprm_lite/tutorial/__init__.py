"""What the book needs: profiles, stored artifacts, stages, plots, exercises, notebooks."""
