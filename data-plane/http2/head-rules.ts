/** What RFC 9113 §8.3 asks of the pseudo fields of answers and of trailers. Requests are read, and checked, by the plane's own reader of heads. */
import type { HeaderField } from './header-field.ts'
import { BODY_UNSTATED } from './stream.ts'

const ONE = 0x31

/** Of a head that is none: no `:status` in front, another pseudo field, or a length that is no number. */
export const NO_ANSWER = -2

/** The length that an answer's head states for its body; BODY_UNSTATED where it does not. */
export function answerBodyLength(fields: readonly HeaderField[]): number {
  const first = fields[0]
  if (first === undefined || first.header.text !== ':status' || first.valueEnd - first.valueAt !== 3) return NO_ANSWER
  let length = BODY_UNSTATED
  for (let i = 1; i < fields.length; i++) {
    const { header } = fields[i] as HeaderField
    if (header.pseudo) return NO_ANSWER
    if (header.text === 'content-length') {
      if (length !== BODY_UNSTATED) return NO_ANSWER
      length = bodyLengthOf(fields[i] as HeaderField)
      if (length === BODY_UNSTATED) return NO_ANSWER
    }
  }
  return length
}

/** As many digits as a number holds exactly. */
const LENGTH = /^\d{1,15}$/

/** Of a `content-length`; BODY_UNSTATED when it is no number. */
export function bodyLengthOf(field: HeaderField): number {
  return LENGTH.test(field.text) ? Number(field.text) : BODY_UNSTATED
}

/** No pseudo field: they belong to the head. */
export function areTrailers(fields: readonly HeaderField[]): boolean {
  for (let i = 0; i < fields.length; i++) if ((fields[i] as HeaderField).header.pseudo) return false
  return true
}

/** Of a head that is one. */
export function isInformational(fields: readonly HeaderField[]): boolean {
  const status = fields[0]
  return status !== undefined && status.memory[status.valueAt] === ONE
}
