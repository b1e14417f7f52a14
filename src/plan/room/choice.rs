//! Which of the backups that are wanted fit, by their sizes and by what each is worth: numbers only.
//!
//! WAL comes before backups, as without it a window ends. Of the backups the newest of every replica come first, then the
//! next older ones. A backup is taken when it leaves the reserve that is kept for WAL to come; one that makes a replica
//! recoverable at all may use the reserve too. What an interrupted copy left counts as room for whatever is worth more.

/// The room on one file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes of them that are kept for WAL to come.
    pub reserve: u64,
    /// Bytes of these that no backup may use.
    pub least: u64,
}

/// What one replica asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// Which space its backups are on.
    pub bases: usize,
    /// Which space its WAL is on.
    pub wals: usize,
    /// Bytes of WAL that are to come whichever backups do.
    pub wal: u64,
    /// Whether something can be recovered from it already.
    pub is_recoverable: bool,
    /// The backups that are to come, most wanted first.
    pub wishes: Vec<Wish>,
}

/// A backup that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Bytes that are still to be written.
    pub bytes: u64,
    /// Bytes that an earlier copy of it left, and that would be free without it.
    pub staged: u64,
    /// Bytes of WAL that make it consistent, as far as no backup that is more wanted brings them.
    pub needed: u64,
    /// Bytes of WAL that come only because of it, those included.
    pub wal: u64,
    /// The place of the backup that it builds on, where that is to come as well.
    pub parent: Option<usize>,
    /// The place of the backup that it takes files from, where that is to come as well, and their bytes.
    pub basis: Option<(usize, u64)>,
}

/// What becomes of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is begun.
    Fits,
    /// It is not begun.
    DoesNotFit {
        /// Bytes that it and its WAL need, the reserve included where that is kept from it.
        needed: u64,
        /// Bytes that are left for it.
        left: u64,
        /// Whether what an earlier copy left of it has to make room.
        makes_room: bool,
    },
}

/// What becomes of every wish of every replica.
pub fn choose(spaces: &[Space], demands: &[Demand]) -> Vec<Vec<Verdict>> {
    let mut choice = Choice::new(spaces, demands);
    let most = demands.iter().map(|demand| demand.wishes.len()).max().unwrap_or_default();
    for place in 0..most {
        for replica in 0..demands.len() {
            choice.decide(replica, place);
        }
    }
    choice.settle_staging();
    choice.verdicts
}

struct Choice<'a> {
    spaces: &'a [Space],
    demands: &'a [Demand],
    /// What is left of each space, what interrupted copies hold included.
    left: Vec<u64>,
    /// Of each replica, whether something will be recoverable, and WAL that waits for a backup which brings it.
    stands: Vec<(bool, u64)>,
    verdicts: Vec<Vec<Verdict>>,
}

impl<'a> Choice<'a> {
    fn new(spaces: &'a [Space], demands: &'a [Demand]) -> Self {
        let mut left: Vec<u64> = spaces.iter().map(|space| space.free).collect();
        for demand in demands {
            let staged = demand.wishes.iter().map(|wish| wish.staged).fold(0, u64::saturating_add);
            change(&mut left, demand.bases, |left| left.saturating_add(staged));
        }
        for demand in demands {
            change(&mut left, demand.wals, |left| left.saturating_sub(demand.wal));
        }
        let stands = demands.iter().map(|demand| (demand.is_recoverable, 0)).collect();
        Self { spaces, demands, left, stands, verdicts: vec![Vec::new(); demands.len()] }
    }

    fn decide(&mut self, replica: usize, place: usize) {
        let (Some(demand), Some(stand), Some(verdicts)) =
            (self.demands.get(replica), self.stands.get_mut(replica), self.verdicts.get_mut(replica))
        else {
            return;
        };
        let Some(wish) = demand.wishes.get(place) else { return };
        let is_taken = |place: usize| verdicts.get(place) == Some(&Verdict::Fits);
        let (is_recoverable, waiting) = *stand;
        let wal = wish.wal.saturating_add(waiting);
        let lost = wish.basis.filter(|(place, _)| !is_taken(*place)).map_or(0, |(_, bytes)| bytes);
        let base = wish.bytes.saturating_add(wish.staged).saturating_add(lost);
        // What makes a replica recoverable at all needs no more than that; what follows comes as far as there is room.
        let least = if is_recoverable { wal } else { wish.needed };
        let reserve = |space: usize| {
            let space = self.spaces.get(space).copied().unwrap_or_default();
            if is_recoverable { space.reserve } else { space.least }
        };
        let left = |space: usize| self.left.get(space).copied().unwrap_or_default();
        let shares = demand.bases == demand.wals;
        let needed = base.saturating_add(if shares { least } else { 0 }).saturating_add(reserve(demand.bases));
        let wal_needed = least.saturating_add(reserve(demand.wals));
        let short = if needed > left(demand.bases) {
            Some((needed, left(demand.bases)))
        } else if !shares && wal_needed > left(demand.wals) {
            Some((wal_needed, left(demand.wals)))
        } else {
            None
        };
        let builds = wish.parent.is_none_or(is_taken);
        match short {
            None if builds => {
                verdicts.push(Verdict::Fits);
                *stand = (true, 0);
                change(&mut self.left, demand.bases, |left| left.saturating_sub(base));
                change(&mut self.left, demand.wals, |left| left.saturating_sub(wal));
            }
            short => {
                let (needed, left) = short.unwrap_or((needed, left(demand.bases)));
                verdicts.push(Verdict::DoesNotFit { needed, left, makes_room: false });
                *stand = (is_recoverable, wal);
            }
        }
    }

    /// What is left of copies that do not go on stays as long as nothing else needs its room, the most wanted first.
    fn settle_staging(&mut self) {
        for (demand, verdicts) in self.demands.iter().zip(&mut self.verdicts) {
            for (wish, verdict) in demand.wishes.iter().zip(verdicts) {
                let Verdict::DoesNotFit { makes_room, .. } = verdict else { continue };
                let kept = wish.staged.saturating_add(self.spaces.get(demand.bases).map_or(0, |space| space.reserve));
                let left = self.left.get(demand.bases).copied().unwrap_or_default();
                *makes_room = wish.staged > 0 && kept > left;
                if !*makes_room {
                    change(&mut self.left, demand.bases, |left| left.saturating_sub(wish.staged));
                }
            }
        }
    }
}

fn change(left: &mut [u64], space: usize, by: impl FnOnce(u64) -> u64) {
    if let Some(left) = left.get_mut(space) {
        *left = by(*left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FITS: Verdict = Verdict::Fits;

    fn wish(bytes: u64, wal: u64) -> Wish {
        Wish { bytes, wal, needed: wal, ..Wish::default() }
    }

    fn misses(needed: u64, left: u64) -> Verdict {
        Verdict::DoesNotFit { needed, left, makes_room: false }
    }

    /// What becomes of the wishes of one replica on a disk with so much free, of which 10 are kept.
    fn of_one(free: u64, wal: u64, is_recoverable: bool, wishes: &[Wish]) -> Vec<Verdict> {
        let demand = Demand { wal, is_recoverable, wishes: wishes.to_vec(), ..Demand::default() };
        choose(&[Space { free, reserve: 10, least: 0 }], &[demand]).remove(0)
    }

    #[test]
    fn the_newest_come_first_and_leave_what_is_kept_for_wal() {
        let three = [wish(50, 5), wish(50, 5), wish(20, 5)];
        for (free, wal, recoverable, expected) in [
            (155, 0, true, [FITS, FITS, FITS].as_slice()),
            (144, 0, true, &[FITS, FITS, misses(35, 34)]),
            (144, 1, true, &[FITS, FITS, misses(35, 33)]),
            // The smaller one that is older brings the WAL of the one between them too.
            (95, 0, true, &[FITS, misses(65, 40), FITS]),
            (94, 0, true, &[FITS, misses(65, 39), misses(40, 39)]),
        ] {
            assert_eq!(of_one(free, wal, recoverable, &three), expected, "{free} {wal}");
        }
    }

    #[test]
    fn what_makes_a_replica_recoverable_may_use_what_is_kept() {
        assert_eq!(of_one(55, 0, true, &[wish(50, 5)]), [misses(65, 55)]);
        assert_eq!(of_one(55, 0, false, &[wish(50, 5)]), [FITS]);
        assert_eq!(of_one(54, 0, false, &[wish(50, 5)]), [misses(55, 54)]);
        // The WAL that follows it comes as far as there is room.
        let followed = Wish { wal: 500, needed: 5, ..wish(50, 0) };
        assert_eq!(of_one(55, 0, false, &[followed, wish(1, 0)]), [FITS, misses(11, 0)]);
    }

    #[test]
    fn wal_comes_before_backups() {
        assert_eq!(of_one(100, 41, true, &[wish(50, 0)]), [misses(60, 59)]);
        assert_eq!(of_one(100, 400, true, &[wish(50, 0)]), [misses(60, 0)]);
    }

    #[test]
    fn what_lies_in_staging_makes_room_for_what_is_worth_more() {
        let staged = |bytes, staged| Wish { staged, ..wish(bytes, 0) };
        let makes_room = |needed, left| Verdict::DoesNotFit { needed, left, makes_room: true };
        // The disk is full of the older one, of which a part is still to come.
        assert_eq!(of_one(0, 5, true, &[wish(30, 0), staged(10, 60)]), [FITS, makes_room(80, 25)]);
        assert_eq!(of_one(0, 0, true, &[staged(10, 60)]), [makes_room(80, 60)], "WAL that comes needs it");
        // It is not in the way of anything: whoever makes room need not copy it again.
        assert_eq!(of_one(15, 0, true, &[staged(30, 60)]), [misses(100, 75)]);
        assert_eq!(of_one(15, 0, true, &[staged(5, 60)]), [FITS]);
    }

    #[test]
    fn what_builds_on_another_or_takes_its_files_depends_on_it() {
        let child = Wish { parent: Some(0), ..wish(5, 0) };
        assert_eq!(of_one(100, 0, true, &[wish(200, 0), child]), [misses(210, 100), misses(15, 100)]);
        assert_eq!(of_one(100, 0, true, &[wish(50, 0), child]), [FITS, FITS]);
        let sharing = Wish { basis: Some((0, 90)), ..wish(5, 0) };
        assert_eq!(of_one(100, 0, true, &[wish(50, 0), sharing]), [FITS, FITS]);
        assert_eq!(of_one(100, 0, true, &[wish(200, 0), sharing]), [misses(210, 100), misses(105, 100)]);
    }

    #[test]
    fn the_last_of_a_disk_is_for_no_backup_not_even_the_first() {
        let wish = Wish { bytes: 95, ..Wish::default() };
        for (is_recoverable, least, fits) in [(false, 0, true), (false, 5, true), (false, 6, false), (true, 0, true)] {
            let demand = Demand { is_recoverable, wishes: vec![wish], ..Demand::default() };
            let verdicts = choose(&[Space { free: 100, reserve: 5.max(least), least }], &[demand]).remove(0);
            assert_eq!(verdicts[0] == Verdict::Fits, fits, "{is_recoverable} {least}");
        }
    }

    #[test]
    fn replicas_of_one_disk_share_it_and_the_newest_of_each_come_first() {
        let demand = |bases, wishes: &[Wish]| Demand {
            bases,
            wals: 1,
            is_recoverable: true,
            wishes: wishes.to_vec(),
            ..Demand::default()
        };
        let spaces = [Space { free: 100, reserve: 10, least: 0 }, Space { free: 30, reserve: 10, least: 0 }];
        let both = [demand(0, &[wish(40, 5), wish(40, 5)]), demand(0, &[wish(45, 5)])];
        assert_eq!(choose(&spaces, &both), [vec![FITS, misses(50, 15)], vec![FITS]]);
        // WAL on a disk of its own can be what is short.
        let wal = [demand(0, &[wish(40, 25)])];
        assert_eq!(choose(&spaces, &wal), [vec![misses(35, 30)]]);
        let here = [Demand { wals: 0, ..demand(0, &[wish(40, 25)]) }];
        assert_eq!(choose(&spaces, &here), [vec![FITS]]);
    }
}
