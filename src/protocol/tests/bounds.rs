//! What a search includes, and what bounds it: see [`super::explore`].

/// What a search includes.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Bounds {
    pub(super) instances: usize,
    /// The visits that are sent to each instance, each at any moment.
    pub(super) visits: usize,
    /// How many requests to each instance read the count, and how many check that a visit could be counted.
    pub(super) reads: usize,
    pub(super) probes: usize,
    /// How many kills, power cuts and failed calls there are, together.
    pub(super) faults: usize,
    pub(super) kinds: Kinds,
    /// How many renames take effect and report that they found nothing.
    pub(super) lies: usize,
    /// How many short pauses end while calls are under way.
    pub(super) hasty: usize,
    /// How many preemptions there are.
    pub(super) preemptions: usize,
    /// Whether a request arrives at an instance only when the one before was answered, so that batches do not overlap.
    pub(super) apart: bool,
    pub(super) before: Before,
    /// Whether some reductions are left out, to see that they lose nothing: 3 except for what is used up, 4, and 6 for calls that
    /// fail.
    pub(super) plain: bool,
}

/// What is on the volume before the first visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Before {
    /// Each instance has counted a visit.
    Counted,
    /// Another instance has counted a visit.
    Elsewhere,
    /// Nothing.
    Nothing,
    /// A `visits.bin` that another program has written: see [`ORIGINAL`].
    Original,
}

/// What another program has written. The counter would write 8 bytes.
pub(super) const ORIGINAL: [u8; 1] = [114];

impl Before {
    pub(super) const ALL: [Self; 4] = [
        Before::Counted,
        Before::Elsewhere,
        Before::Nothing,
        Before::Original,
    ];

    /// Returns whether counting has started.
    pub(super) fn is_started(self) -> bool {
        matches!(self, Before::Counted | Before::Elsewhere)
    }
}

/// The kinds of faults that a search includes: of an instance, of the power, of a call without and with its effect, and of the
/// journal.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Kinds {
    pub(super) kill: bool,
    pub(super) cut: bool,
    pub(super) fail: bool,
    pub(super) unheard: bool,
    pub(super) abort: bool,
}

/// The smallest search.
pub(super) const SMALL: Bounds = Bounds {
    instances: 2,
    visits: 1,
    reads: 0,
    probes: 0,
    faults: 0,
    kinds: Kinds {
        kill: false,
        cut: false,
        fail: false,
        unheard: false,
        abort: false,
    },
    lies: 0,
    hasty: 0,
    preemptions: usize::MAX,
    apart: false,
    before: Before::Counted,
    plain: false,
};

pub(super) const KILL: Kinds = Kinds {
    kill: true,
    ..SMALL.kinds
};

/// Faults of any kind.
pub(super) const ANY: Kinds = Kinds {
    kill: true,
    cut: true,
    fail: true,
    unheard: true,
    abort: false,
};

/// Reads bounds such as `instances=3,visits=2,faults=2,kill,cut`. What is on the volume before the first visit is `elsewhere`,
/// `nothing` or `original`; [`Before::Counted`] without it.
pub(super) fn parse(text: &str) -> Result<Bounds, String> {
    let mut bounds = SMALL;
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, "1"));
        let number = value
            .parse()
            .map_err(|_| format!("{part:?} is not name=number"))?;
        match name {
            "instances" => bounds.instances = number,
            "visits" => bounds.visits = number,
            "reads" => bounds.reads = number,
            "probes" => bounds.probes = number,
            "faults" => bounds.faults = number,
            "lies" => bounds.lies = number,
            "preemptions" => bounds.preemptions = number,
            "hasty" => bounds.hasty = number,
            "kill" => bounds.kinds.kill = number > 0,
            "cut" => bounds.kinds.cut = number > 0,
            "abort" => bounds.kinds.abort = number > 0,
            "unheard" => bounds.kinds.unheard = number > 0,
            "fail" => bounds.kinds.fail = number > 0,
            "apart" => bounds.apart = number > 0,
            "elsewhere" => bounds.before = Before::Elsewhere,
            "nothing" => bounds.before = Before::Nothing,
            "original" => bounds.before = Before::Original,
            "plain" => bounds.plain = number > 0,
            _ => return Err(format!("{name:?} is unknown")),
        }
    }
    Ok(bounds)
}
