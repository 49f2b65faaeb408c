//! Where the machine is known to contradict the text. Each constant bends the reference to the
//! machine, so that everything else stays comparable; `false` restores the text, and the test of
//! the same name in `contradictions.rs` then shows the machine's fault.

/// J6 and P8: "a granted ping written more than `slack` after its emission is no miss at the end of
/// that window". The machine forgets it when another ping leaves in that window.
pub const SLOW_GRANT_FORGOTTEN: bool = true;

/// E9: evidence on a final Lost is told once as `mistake`. The machine does not tell it if an
/// earlier verdict of the same connection was told to be one (LC7).
pub const MISTAKE_ONCE_FOR_LIFE: bool = true;

/// E6: where writes are reported, a sample runs from the writing. With the echo ledger the machine
/// takes the emission of a ping that was granted (J6).
pub const ECHO_SAMPLES_FROM_EMISSION: bool = true;

/// A5: a calm signal doubles the effective interval if that is not at its limit. The machine takes
/// none while the peer's gap hides the next doubling of the configured interval.
pub const CALM_STUCK_BEHIND_GAP: bool = true;

/// A4: the first pong after a strike carries the calm signal. If policing is switched off by a
/// reconfiguration after a strike, the machine sends it with every pong that follows.
pub const CALM_STAYS_WITHOUT_GAP: bool = true;
