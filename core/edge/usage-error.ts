/** Thrown with one line that names the cause and the cure; the CLI prints it and exits with 64. */
export class UsageError extends Error {}
