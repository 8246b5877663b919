-- Listen to an MCP server no more: nobody waits for anything there, and whoever sees the next wait may take it.
select pg_advisory_unlock($1::int4, hashtext($2::text))
