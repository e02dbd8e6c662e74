/** What a request is ready for whose bytes have gone nowhere yet. */
import { limits } from '../../core/limits.ts'
import type { RequestScanner, ScanRefusal } from '../grpc/request-scanner.ts'
import type { Exchange } from './exchange.ts'

/** `whole`: a request for the proxy itself. `nothing-asked`: a stream that ends without a message is no error, as with Triton; a unary call that does is one. */
export type Step = 'wait' | 'dispatch' | 'whole' | 'nothing-asked' | ScanRefusal

export function stepBeforeDispatch(
  { method, scanner }: Pick<Exchange, 'method'> & { scanner: RequestScanner | undefined },
  kept: number,
  ends: boolean,
): Step {
  if (method.kind === 'local') {
    if (kept > limits.scanBudget) return { reason: 'scan-budget', detail: 'the request is too long for this method' }
    return ends ? 'whole' : 'wait'
  }
  if (scanner?.routable) return 'dispatch'
  if (kept > limits.scanBudget)
    return { reason: 'scan-budget', detail: `no model_name within the first ${limits.scanBudget} bytes: put it before the tensors` }
  if (!ends) return 'wait'
  return method.kind === 'by-model' && method.streaming
    ? 'nothing-asked'
    : { reason: 'illegal-message', detail: 'the request carries no message' }
}
