"""Attribution values -> pictures, with numpy only."""
