-- A count that only rises, and that a dump takes back with the rest: a witness outside the database that has seen a
-- higher one knows that a backup was restored. A sequence, since counting must cost no flush and no dead row.
create sequence missions_tide;
