/** Ends a verb with exit code 1 and its message as the only line: the command was right and what it asked for failed. */
export class CommandFailure extends Error {}
