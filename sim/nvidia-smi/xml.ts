/** What the simulated program prints for -q -x: the elements that anybody here reads, named as drivers 535 and later name them. */
import type { SimGpu, SimInstance } from './captures.ts'
import type { Scene } from './scenes.ts'

const UNKNOWN = '[N/A]'

export function xmlText(gpus: readonly SimGpu[], { instances, unknownFields }: Scene): string {
  const driver = gpus[0]?.driver_version ?? UNKNOWN
  return [
    '<?xml version="1.0" ?>',
    '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">',
    '<!-- simulated -->',
    element('nvidia_smi_log', [
      leaf('driver_version', driver),
      leaf('attached_gpus', `${gpus.length}`),
      ...gpus.map((gpu, at) => gpuElement(gpu, at === 0 ? instances : [], !unknownFields.includes('gpu_recovery_action'))),
    ]),
  ].join('\n')
}

const gpuElement = (gpu: SimGpu, instances: readonly SimInstance[], knowsRecovery: boolean): string =>
  element(
    'gpu',
    [
      leaf('product_name', gpu.name),
      element('mig_mode', [leaf('current_mig', gpu['mig.mode.current']), leaf('pending_mig', gpu['mig.mode.current'])]),
      element('mig_devices', instances.length === 0 ? ['None'] : instances.map(instanceElement)),
      leaf('uuid', gpu.uuid),
      leaf('minor_number', gpu.index),
      ...recoveryElements(gpu.gpu_recovery_action ?? UNKNOWN, knowsRecovery),
      element('pci', [leaf('pci_bus_id', gpu['pci.bus_id'])]),
      leaf('performance_state', gpu.pstate),
      element('fb_memory_usage', [leaf('total', gpu['memory.total']), leaf('used', gpu['memory.used'])]),
      element('utilization', [leaf('gpu_util', gpu['utilization.gpu']), leaf('memory_util', gpu['utilization.memory'])]),
      element('ecc_errors', [element('volatile', eccElements(gpu))]),
      element('remapped_rows', [leaf('remapped_row_pending', gpu['remapped_rows.pending'])]),
      element('temperature', [leaf('gpu_temp', gpu['temperature.gpu']?.replace(/^\d+$/, '$& C'))]),
    ],
    ` id="${gpu['pci.bus_id'] ?? ''}"`,
  )

const instanceElement = (instance: SimInstance): string =>
  element('mig_device', [
    leaf('index', instance.index),
    leaf('gpu_instance_id', instance.gpuInstance),
    leaf('compute_instance_id', instance.computeInstance),
    element('fb_memory_usage', [leaf('total', instance.total), leaf('used', instance.used)]),
  ])

/** Drivers that refuse the field tell of the same by two switches. */
const recoveryElements = (action: string, known: boolean): readonly string[] =>
  known
    ? [leaf('gpu_recovery_action', action)]
    : [
        element('gpu_reset_status', [
          leaf('reset_required', action === UNKNOWN ? action : action === 'None' ? 'No' : 'Yes'),
          leaf('drain_and_reset_recommended', action === UNKNOWN ? action : action.startsWith('Drain') ? 'Yes' : 'No'),
        ]),
      ]

/** The rows have one total; here it is all of one kind of memory. */
const eccElements = (gpu: SimGpu): readonly string[] =>
  (['correctable', 'uncorrectable'] as const).flatMap((kind) => {
    const total = gpu[`ecc.errors.${kind.replace('correctable', 'corrected')}.volatile.total`] ?? UNKNOWN
    return [leaf(`sram_${kind}`, total === UNKNOWN ? total : '0'), leaf(`dram_${kind}`, total)]
  })

const element = (name: string, inside: readonly string[], attributes = ''): string =>
  `<${name}${attributes}>\n${inside.join('\n').replace(/^/gm, '\t')}\n</${name}>`

/** The XML has no brackets around what is no value. */
const leaf = (name: string, cell = UNKNOWN): string =>
  `<${name}>${cell.replace(/^\[(.*)\]$/, '$1').replace(/[<&]/g, (sign) => (sign === '<' ? '&lt;' : '&amp;'))}</${name}>`
