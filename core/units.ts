/** Numbers that carry their unit. A bare number never stands for a time or a size in a signature. */

declare const unit: unique symbol
export type Quantity<Name extends string> = number & { readonly [unit]: Name }

/** Milliseconds of a monotonic clock, or a span of them. Never wall-clock time. */
export type Millis = Quantity<'ms'>
export type Bytes = Quantity<'B'>

/** Wall-clock time since 1970: shown to people, and never used to order or to wait. */
export type UnixMillis = Quantity<'unix ms'>

export const unixMillis = (value: number): UnixMillis => value as UnixMillis
export const millis = (value: number): Millis => value as Millis
export const seconds = (value: number): Millis => millis(value * 1000)
export const bytes = (value: number): Bytes => value as Bytes
export const kib = (value: number): Bytes => (value * 1024) as Bytes
export const mib = (value: number): Bytes => (value * 1024 * 1024) as Bytes
