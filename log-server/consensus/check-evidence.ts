// Shared with whoever judges reports of misbehaviour without running a replica.
export * from '../../verifier/replication/judge.ts';
