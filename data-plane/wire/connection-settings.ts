/** The settings of connections on both sides: how long they are kept, asked and waited for. Times are given in seconds; 0 switches off what may be off. */
import { z } from 'zod'
import type { Settings } from '../../core/edge/settings.ts'
import { hostPort } from '../../core/edge/settings.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { LifeRules } from '../routing/connection-life.ts'

const DAY_S = 86_400
const seconds = z.coerce.number().min(0).max(DAY_S)
const someSeconds = z.coerce.number().positive().max(DAY_S)

export const connectionSettings = {
  upstreamKeepalive: {
    value: 'seconds',
    about: 'silence after which an endpoint with open streams is sent a PING; 0 never',
    schema: seconds,
    fallback: 20,
  },
  upstreamKeepaliveAgain: {
    value: 'seconds',
    about: 'before the next PING within one silence; gRPC servers cut who asks more often than every 300 s',
    schema: someSeconds,
    fallback: limits.keepaliveAgain / 1_000,
  },
  upstreamKeepaliveTimeout: {
    value: 'seconds',
    about: 'an endpoint that answers a PING with nothing for so long is gone',
    schema: someSeconds,
    fallback: 20,
  },
  upstreamIdle: {
    value: 'seconds',
    about: 'a connection to an endpoint without a stream is closed; 0 never',
    schema: seconds,
    fallback: 600,
  },
  upstreamMaxAge: {
    value: 'seconds',
    about: 'age at which a connection to an endpoint is replaced, give or take a tenth; 0 never',
    schema: seconds,
    fallback: 0,
  },
  clientKeepalive: {
    value: 'seconds',
    about: 'silence after which a client with open streams is sent a PING; 0 never',
    schema: seconds,
    fallback: 60,
  },
  clientKeepaliveTimeout: {
    value: 'seconds',
    about: 'a client that answers a PING with nothing for so long is gone',
    schema: someSeconds,
    fallback: 20,
  },
  clientMaxAge: {
    value: 'seconds',
    about: 'age at which a client is asked to connect anew, give or take a tenth; its streams finish; 0 never',
    schema: seconds,
    fallback: 0,
  },
  dnsRefresh: {
    value: 'seconds',
    about: 'names of endpoints are looked up again after this, where their records tell no time to live',
    schema: someSeconds,
    fallback: 30,
  },
  dnsServer: { value: 'host:port', about: 'the name server to ask for endpoints, instead of the system', schema: hostPort },
  drainTimeout: {
    value: 'seconds',
    about: 'how long streams may take to finish when the proxy stops',
    schema: seconds,
    fallback: limits.drainMax / 1_000,
  },
  drainDelay: {
    value: 'seconds',
    about: 'how long a stopping proxy still takes connections, while /readyz says that it stops',
    schema: seconds,
    fallback: 0,
  },
} as const

/** As workers take them: plain data. */
export type ConnectionRules = {
  readonly upstream: LifeRules
  readonly downstream: LifeRules
  readonly dnsServer: string | undefined
  readonly dnsRefresh: Millis
  readonly drainTimeout: Millis
}

/** After SETTINGS, retirement is never waited for longer than a connection may take to come up. */
const UPSTREAM_GRACE = millis(2 * limits.connectTimeout)
/** A GOAWAY reaches the client, and what the client had sent before arrives. */
const CLIENT_GRACE = millis(1_000)

export function connectionRules(settings: Settings<typeof connectionSettings>): ConnectionRules {
  const ms = (value: number): Millis => millis(value * 1_000)
  return {
    upstream: {
      askAfter: ms(settings.upstreamKeepalive),
      askAgainAfter: ms(settings.upstreamKeepaliveAgain),
      answerWithin: ms(settings.upstreamKeepaliveTimeout),
      settingsWithin: limits.settingsTimeout,
      idleMax: ms(settings.upstreamIdle),
      ageMax: ms(settings.upstreamMaxAge),
      retireGrace: UPSTREAM_GRACE,
    },
    downstream: {
      askAfter: ms(settings.clientKeepalive),
      askAgainAfter: ms(settings.clientKeepalive),
      answerWithin: ms(settings.clientKeepaliveTimeout),
      settingsWithin: limits.prefaceTimeout,
      idleMax: millis(0),
      ageMax: ms(settings.clientMaxAge),
      retireGrace: CLIENT_GRACE,
    },
    dnsServer: settings.dnsServer,
    dnsRefresh: ms(settings.dnsRefresh),
    drainTimeout: ms(settings.drainTimeout),
  }
}
