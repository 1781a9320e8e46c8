//! What a step asks for: this goes to the clients' scripts, which say it in their SDK's words.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Text,
    /// With instructions, and turns before the last one.
    Conversation,
    Tool,
    Parallel,
    Structured,
    Image,
    /// Thinks, and goes on in a second turn.
    Thinks,
    ThinksAndCalls,
    /// Is refused with this status, or fails after it.
    Fails(u16),
}
