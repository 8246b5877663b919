"""Controls as durable programs: pause, resume, cancel, rollback, retry, and what people say of a mission in trouble."""
