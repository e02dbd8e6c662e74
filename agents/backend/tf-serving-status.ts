/** Reads TensorFlow Serving's word on one model: the answer is 200 also while the model loads, and its body tells. Nothing throws. */
import { fieldsOf, listOf, parsedJson } from './json-page.ts'

/** Whether some version of the model takes requests. */
export const available = (body: string): boolean =>
  listOf(fieldsOf(parsedJson(body)).model_version_status).some((version) => fieldsOf(version).state === 'AVAILABLE')
