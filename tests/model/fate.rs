//! What may happen to two ends and to what is under way between them.

/// All spans are in units of 1 ns.
#[expect(clippy::struct_excessive_bools, reason = "misfortunes are independent of each other")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// A packet takes 0 up to this many units; packets overtake each other.
    pub(crate) delay: u8,
    /// Packets are lost, but not two within so many units; `None`: never, zero: at will.
    pub(crate) loss: Option<u8>,
    /// A packet may come twice.
    pub(crate) duplication: bool,
    /// The other end may stop at any time, with all it knew.
    pub(crate) crash: bool,
    /// An end that crashed or gave up may begin anew at any time, while frames of its old epoch
    /// are still under way.
    pub(crate) restart: bool,
    /// This end's process may stand still for up to so many units; what arrives waits.
    pub(crate) stall: u8,
    /// This end may be suspended, with notice, for up to so many units.
    pub(crate) suspend: u8,
    /// The least time between two stalls or suspensions.
    pub(crate) rest: u8,
    /// Every timer of this end may fire up to so many units late.
    pub(crate) late: u8,
    /// A frame may wait so many units before this end's transport takes it.
    pub(crate) write: u8,
    /// This end's transport may take nothing, for as long as it likes.
    pub(crate) block: bool,
    /// Frames of another connection, and pongs for pings that never were, come in at any time.
    pub(crate) strangers: bool,
    /// The application of the other end sends: nothing, whole frames, or bytes of unfinished ones.
    pub(crate) data: Data,
    /// This end's application says `PingDue` at any time, asked or not.
    pub(crate) ping_due: bool,
    /// This end's application drains or closes at any time.
    pub(crate) ends: bool,
    /// This end's observer doubts itself at any time, and says `Hold`, with a probe or without; so
    /// often in one silence.
    pub(crate) holds: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    None,
    Frames,
    Bytes,
}

impl Fate {
    /// For constants.
    pub(crate) const NOTHING: Self = Self {
        delay: 0,
        loss: None,
        duplication: false,
        crash: false,
        restart: false,
        stall: 0,
        suspend: 0,
        rest: 0,
        late: 0,
        write: 0,
        block: false,
        strangers: false,
        data: Data::None,
        ping_due: false,
        ends: false,
        holds: 0,
    };
}
