//! The one way of a call, and the live state behind it. The floor is laid; nothing stands on it yet.
