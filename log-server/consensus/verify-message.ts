// Shared with whoever judges reports of misbehaviour without running a replica.
export * from '../../verifier/replication/verify-message.ts';
