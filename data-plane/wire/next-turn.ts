/** Lets the event loop take what came meanwhile: long work in slices holds nobody up. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
