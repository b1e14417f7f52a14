//! What is kept of the last drills of a replica, in its catalog.

use crate::barman::drill::Drill;
use crate::observe::catalog::drills;
use crate::store::{ChangeError, Place, Store};

/// Keeps one more. A note that cannot be read begins anew.
pub fn keep(store: &dyn Store, drill: Drill) -> Result<(), ChangeError> {
    let drills = drills(store).with(drill);
    store.make(Place::Own)?;
    store.write(Place::Drills, &drills.write())
}
