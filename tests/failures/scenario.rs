//! Every scenario: a function that is played with each adapter it fits.

mod crowded;
mod gone;
mod lossy;
mod restarted;
mod stopped;

use crate::subject::{Kind, Subject};
use crate::table::Row;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) fits: fn(&Subject) -> bool,
    /// For `tests/long.sh` alone.
    pub(crate) long: bool,
    /// Panics if something is wrong.
    pub(crate) play: fn(&'static Subject) -> Row,
}

const fn any(_: &Subject) -> bool {
    true
}

fn streams(subject: &Subject) -> bool {
    subject.kind == Kind::Stream
}

fn datagrams(subject: &Subject) -> bool {
    subject.kind == Kind::Datagrams
}

macro_rules! scenarios {
    ($($file:ident::$name:ident: $fits:ident $($long:ident)?;)+) => {
        pub(crate) const ALL: &[&Scenario] = &[$(&Scenario {
            name: stringify!($name),
            fits: $fits,
            long: scenarios!(@ $($long)?),
            play: $file::$name,
        }),+];
    };
    (@ long) => { true };
    (@) => { false };
}

scenarios! {
    // The longest first: the others run beside them.
    crowded::megabyte_before_the_pong: streams;
    crowded::megabyte_by_bytes: streams;
    lossy::loss_on_datagrams: datagrams;
    stopped::observer_stopped_reprobe: any;
    stopped::observer_stopped_forgive: any;
    crowded::upload_at_10_kb: streams;
    crowded::runtime_blocked: any;
    restarted::server_restarted: any;
    gone::silent_peer: any;
    gone::host_swallowed: any;
    gone::host_link_down: any;
    gone::host_firewalled: any;
    gone::reset: streams;
    gone::close_to_the_dead: any;
    stopped::peer_stopped: any;
    crowded::blocked_writer: streams;
    crowded::slow_reader: streams;
    crowded::busy_reader: streams;
    crowded::slow_path: any;
    lossy::loss_on_streams: streams;
    lossy::loss_on_datagrams_for_long: datagrams long;
}
