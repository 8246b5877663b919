-- Be the one who listens to an MCP server, as long as this session lives; false where another session does.
select pg_try_advisory_lock($1::int4, hashtext($2::text))
