-- A portion of a blob, in binary: the ORM would write it into the statement's text, and keep that in debug mode.
insert into missions_portion (digest, number, body) values ($1::bytea, $2::int4, $3::bytea)
