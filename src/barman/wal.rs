//! Names and arithmetic of WAL files (PostgreSQL `xlog_internal.h`).

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{InvalidId, textual_id};

/// A timeline: it grows by one at every promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Timeline(pub u32);

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A byte position in the WAL, written by PostgreSQL as `1A4/3F000028`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);
textual_id!(Lsn, r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$");

impl FromStr for Lsn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let half = |hex: &str| {
            let well_formed = (1..=8).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
            if well_formed { u64::from_str_radix(hex, 16).ok() } else { None }
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Self(half(high)? << 32 | half(low)?)))
            .ok_or_else(|| InvalidId::new("WAL position", text, "expected a form such as 1A4/3F000028"))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The size of a WAL segment in bytes: a power of two from 1 MiB to 1 GiB, 16 MiB unless initdb was told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
pub struct SegmentSize(u32);

impl TryFrom<u64> for SegmentSize {
    type Error = InvalidId;

    fn try_from(bytes: u64) -> Result<Self, InvalidId> {
        let invalid =
            || InvalidId::new("WAL segment size", &bytes.to_string(), "expected a power of two of 1 MiB to 1 GiB");
        Self::new(bytes).ok_or_else(invalid)
    }
}

impl From<SegmentSize> for u64 {
    fn from(size: SegmentSize) -> Self {
        size.bytes()
    }
}

impl SegmentSize {
    /// 16 MiB.
    pub const DEFAULT: Self = Self(16 << 20);

    /// A size that PostgreSQL allows.
    pub fn new(bytes: u64) -> Option<Self> {
        let allowed = (1 << 20..=1 << 30).contains(&bytes) && bytes.is_power_of_two();
        if allowed { u32::try_from(bytes).ok().map(Self) } else { None }
    }

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }

    /// How many segments one log file number holds: 4 GiB divided by the size.
    pub fn per_log(self) -> u64 {
        (1 << 32) / self.bytes()
    }
}

impl Default for SegmentSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The name of a whole WAL segment, 24 hexadecimal digits: timeline, log, segment within the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The timeline that wrote it.
    pub timeline: Timeline,
    /// The upper 32 bits of its position.
    pub log: u32,
    /// Its place within the log.
    pub seg: u32,
}

impl Segment {
    /// The segment with this number; `None` when it lies beyond the last position that 64 bits can name.
    pub fn from_number(timeline: Timeline, number: u64, size: SegmentSize) -> Option<Self> {
        let log = u32::try_from(number / size.per_log()).ok()?;
        // The remainder is below per_log(), which is at most 4096.
        let seg = u32::try_from(number % size.per_log()).ok()?;
        Some(Self { timeline, log, seg })
    }

    /// The segment that holds a position.
    pub fn at(timeline: Timeline, lsn: Lsn, size: SegmentSize) -> Option<Self> {
        Self::from_number(timeline, lsn.0 / size.bytes(), size)
    }

    /// Its number, counted from position 0; `None` when its name does not exist for this segment size.
    pub fn number(self, size: SegmentSize) -> Option<u64> {
        let per_log = size.per_log();
        (u64::from(self.seg) < per_log).then(|| u64::from(self.log) * per_log + u64::from(self.seg))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (halves, rest) = text.as_chunks::<8>();
        let [timeline, log, seg] = halves else { return None };
        let is_whole = rest.is_empty();
        is_whole.then_some(Self { timeline: Timeline(hex8(timeline)?), log: hex8(log)?, seg: hex8(seg)? })
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline.0, self.log, self.seg)
    }
}

/// Eight upper-case hexadecimal digits, the only form in which PostgreSQL writes them.
fn hex8(text: &[u8]) -> Option<u32> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let digits: &[u8; 8] = text.try_into().ok()?;
    digits.iter().try_fold(0, |number, byte| Some(number << 4 | u32::from(digit(*byte)?)))
}

/// The name of any file in a WAL archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WalName {
    /// A whole segment.
    Segment(Segment),
    /// A timeline's history file, `00000002.history`.
    History(Timeline),
    /// A backup history file, `000000010000000000000010.00000028.backup`.
    BackupLabel {
        /// The segment in which the backup began.
        segment: Segment,
        /// The backup's start within that segment.
        offset: u32,
    },
    /// The last segment of a timeline that ended before it was full, `….partial`.
    Partial(Segment),
}
textual_id!(WalName, r"^[0-9A-F]{8}([0-9A-F]{16}(\.[0-9A-F]{8}\.backup|\.partial)?|\.history)$");

impl WalName {
    /// The name that these bytes are.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        if let Some(segment) = Segment::parse(bytes) {
            return Some(Self::Segment(segment));
        }
        let dot = bytes.iter().position(|byte| *byte == b'.')?;
        let (stem, suffix) = (bytes.get(..dot)?, bytes.get(dot + 1..)?);
        match suffix {
            b"history" => hex8(stem).map(|timeline| Self::History(Timeline(timeline))),
            b"partial" => Segment::parse(stem).map(Self::Partial),
            _ => {
                let offset = hex8(suffix.strip_suffix(b".backup")?)?;
                Some(Self::BackupLabel { segment: Segment::parse(stem)?, offset })
            }
        }
    }

    /// The timeline that the name starts with.
    pub fn timeline(self) -> Timeline {
        match self {
            Self::Segment(s) | Self::Partial(s) | Self::BackupLabel { segment: s, .. } => s.timeline,
            Self::History(t) => t,
        }
    }

    /// The segment, when this names a whole one.
    pub fn segment(self) -> Option<Segment> {
        match self {
            Self::Segment(s) => Some(s),
            _ => None,
        }
    }

    /// Appends the name to a text: a list of a million files has a million names.
    pub fn push(self, text: &mut String) {
        match self {
            Self::Segment(segment) => {
                for part in [segment.timeline.0, segment.log, segment.seg] {
                    push_hex8(text, part);
                }
            }
            // Writing to a String cannot fail.
            rare => drop(write!(text, "{rare}")),
        }
    }

    /// Orders as the names do byte by byte, which is the order of xlog.db: `.` sorts before every digit.
    fn sort_key(self) -> (Timeline, u8, u32, u32, u8, u32) {
        match self {
            Self::History(t) => (t, 0, 0, 0, 0, 0),
            Self::Segment(s) => (s.timeline, 1, s.log, s.seg, 0, 0),
            Self::BackupLabel { segment: s, offset } => (s.timeline, 1, s.log, s.seg, 1, offset),
            Self::Partial(s) => (s.timeline, 1, s.log, s.seg, 2, 0),
        }
    }
}

impl PartialOrd for WalName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WalName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl FromStr for WalName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::of_bytes(text.as_bytes())
            .ok_or_else(|| InvalidId::new("WAL file name", text, "expected a segment, .history, .backup or .partial"))
    }
}

impl fmt::Display for WalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(s) => write!(f, "{s}"),
            Self::History(t) => write!(f, "{:08X}.history", t.0),
            Self::BackupLabel { segment, offset } => write!(f, "{segment}.{offset:08X}.backup"),
            Self::Partial(s) => write!(f, "{s}.partial"),
        }
    }
}

/// Appends eight upper-case hexadecimal digits.
fn push_hex8(text: &mut String, number: u32) {
    for shift in (0..8).rev().map(|digit| digit * 4) {
        text.push(char::from_digit(number >> shift & 0xF, 16).unwrap_or_default().to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_segment() -> impl Strategy<Value = Segment> {
        (1..9_u32, any::<u32>(), 0..4096_u32).prop_map(|(t, log, seg)| Segment { timeline: Timeline(t), log, seg })
    }

    fn any_name() -> impl Strategy<Value = WalName> {
        prop_oneof![
            any_segment().prop_map(WalName::Segment),
            any_segment().prop_map(WalName::Partial),
            (any_segment(), any::<u32>()).prop_map(|(segment, offset)| WalName::BackupLabel { segment, offset }),
            (1..9_u32).prop_map(|t| WalName::History(Timeline(t))),
        ]
    }

    proptest! {
        #[test]
        fn names_are_read_as_they_are_written(name in any_name()) {
            prop_assert_eq!(name.to_string().parse::<WalName>(), Ok(name));
        }

        #[test]
        fn names_order_as_their_bytes(a in any_name(), b in any_name()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().as_bytes().cmp(b.to_string().as_bytes()));
        }

        #[test]
        fn numbers_and_names_agree_for_every_segment_size(
            shift in 20..=30_u32, timeline in 1..100_u32, position in any::<u64>()
        ) {
            let size = SegmentSize::new(1 << shift).unwrap();
            let segment = Segment::at(Timeline(timeline), Lsn(position), size).unwrap();
            let number = segment.number(size).unwrap();
            prop_assert_eq!(number, position >> shift);
            prop_assert_eq!(Segment::from_number(Timeline(timeline), number, size), Some(segment));
            let next = Segment::from_number(Timeline(timeline), number + 1, size);
            prop_assert!(next.is_none_or(|next| next > segment));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,45}") {
            let _ = text.parse::<WalName>();
            let _ = text.parse::<Lsn>();
        }
    }

    #[test]
    fn segment_sizes_are_powers_of_two_from_1_mib_to_1_gib() {
        for bytes in [0, 1, 1 << 19, (16 << 20) + 1, 1 << 31, u64::MAX] {
            assert_eq!(SegmentSize::new(bytes), None, "{bytes}");
        }
        assert_eq!(SegmentSize::new(16 << 20).map(SegmentSize::per_log), Some(256));
        assert_eq!(SegmentSize::new(1 << 30).map(SegmentSize::per_log), Some(4));
    }

    #[test]
    fn a_name_beyond_the_log_has_no_number() {
        let segment: WalName = "000000010000000000000100".parse().unwrap();
        assert_eq!(segment.segment().and_then(|s| s.number(SegmentSize::DEFAULT)), None);
    }

    #[test]
    fn lower_case_and_foreign_names_are_refused() {
        for bad in [
            "00000001000000000000000a",
            "0000001.history",
            "../000000010000000000000001",
            "x.history",
            "00000001.history.gz",
        ] {
            assert!(bad.parse::<WalName>().is_err(), "{bad}");
        }
    }
}
