//! Antipode keeps passive copies of Barman catalogs at disaster-recovery sites.
