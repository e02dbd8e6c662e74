/** What no capture shows: sick GPUs, and cells that say why there is no value. The captures themselves are read in test/smi-captures.test.ts. */
import { expect, test } from 'vitest'
import { parseLog } from '../wire/parse-xml.ts'
import { type GpuDetails, readDetails, withMigNames } from './read-details.ts'

const UUID = 'GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1'
const log = (inside: string): string => `<nvidia_smi_log><gpu id="00000000:18:00.0"><uuid>${UUID}</uuid>${inside}</gpu></nvidia_smi_log>`
function read(text: string): GpuDetails | undefined {
  const parsed = parseLog(text)
  return parsed === undefined ? undefined : readDetails(parsed).get(UUID)
}

const reset = (required: string, drain: string): string =>
  `<gpu_reset_status><reset_required>${required}</reset_required><drain_and_reset_recommended>${drain}</drain_and_reset_recommended></gpu_reset_status>`
const action = (words: string): string => `<gpu_recovery_action>${words}</gpu_recovery_action>`
const ecc = (cells: string): string => `<ecc_errors><volatile>${cells}</volatile></ecc_errors>`
const mig = (cells: string): string =>
  `<mig_mode><current_mig>Enabled</current_mig></mig_mode><mig_devices><mig_device>${cells}</mig_device></mig_devices>`
const DEPRECATED = 'Requested functionality has been deprecated'

test.each<[string, string, Partial<GpuDetails>]>([
  ['None', action('None'), { recoveryAction: 'None' }],
  ['the words of the driver', action('Drain P2P'), { recoveryAction: 'Drain P2P' }],
  ['no words', action('N/A'), { recoveryAction: undefined }],
  ['a deprecated element', action(DEPRECATED), { recoveryAction: undefined }],
  ['a reset required, before there were words', reset('Yes', 'No'), { recoveryAction: 'Reset' }],
  ['a drain recommended', reset('No', 'Yes'), { recoveryAction: 'Drain and Reset' }],
  ['neither of the two', reset('No', 'No'), { recoveryAction: 'None' }],
  ['one of the two, the other unknown', reset('No', 'N/A'), { recoveryAction: 'None' }],
  ['both unknown', reset(DEPRECATED, DEPRECATED), { recoveryAction: undefined }],
  ['new words beside the deprecated switches', reset(DEPRECATED, DEPRECATED) + action('Reboot'), { recoveryAction: 'Reboot' }],
  [
    'a reset required in the place of a value',
    '<temperature><gpu_temp>GPU requires reset</gpu_temp></temperature>',
    { recoveryAction: 'Reset' },
  ],
])('recovery action: %s', (_, inside, expected) => {
  expect(read(log(inside))).toMatchObject(expected)
})

test.each<[string, string, bigint | undefined, bigint | undefined]>([
  [
    'two kinds of memory',
    '<sram_correctable>1</sram_correctable><sram_uncorrectable>2</sram_uncorrectable><dram_correctable>3</dram_correctable><dram_uncorrectable>4</dram_uncorrectable>',
    4n,
    6n,
  ],
  [
    'parity and SECDED apart',
    '<sram_uncorrectable_parity>1</sram_uncorrectable_parity><sram_uncorrectable_secded>2</sram_uncorrectable_secded><dram_uncorrectable>4</dram_uncorrectable>',
    undefined,
    7n,
  ],
  [
    'totals by kind of error',
    '<single_bit><dram>9</dram><total>12</total></single_bit><double_bit><total>N/A</total></double_bit>',
    12n,
    undefined,
  ],
  ['one part unknown', '<sram_correctable>1</sram_correctable><dram_correctable>N/A</dram_correctable>', undefined, undefined],
  ['no count at all', '', undefined, undefined],
])('ECC counts: %s', (_, cells, corrected, uncorrected) => {
  expect(read(log(ecc(cells)))).toMatchObject({ eccCorrected: corrected, eccUncorrected: uncorrected })
})

test('slices have their memory, and their names where the list tells of the same index', () => {
  const parsed = parseLog(
    log(
      mig(
        '<index>1</index><gpu_instance_id>9</gpu_instance_id><compute_instance_id>0</compute_instance_id><fb_memory_usage><total>9984 MiB</total><used>ERR!</used></fb_memory_usage>',
      ),
    ),
  )
  const details =
    parsed &&
    withMigNames(readDetails(parsed), [
      { gpuUuid: 'GPU-other', uuid: 'MIG-other', index: 1 },
      { gpuUuid: UUID, uuid: 'MIG-one', index: 1 },
    ])
  expect(details?.get(UUID)?.migInstances).toEqual([
    {
      uuid: 'MIG-one',
      index: 1,
      gpuInstanceId: 9,
      computeInstanceId: 0,
      memoryTotalBytes: 9_984n * 1_048_576n,
      memoryUsedBytes: undefined,
    },
  ])
})

test.each([
  [
    'news of a lost GPU before it',
    `Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error\n<?xml version="1.0" ?>\n${log(action('None'))}`,
  ],
  ['a warning behind it', `${log(action('None'))}\nWARNING: infoROM is corrupted at gpu 0000:00:1E.0\n`],
  [
    'a process that is named in no XML',
    log(`${action('None')}<processes><process_info><process_name>a<b & c</process_name></process_info></processes>`),
  ],
])('a log is read with %s', (_, text) => {
  expect(read(text)?.recoveryAction).toBe('None')
})

test.each([
  ['nothing', ''],
  ['a driver that is down', "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."],
  ['half a log', log(action('None')).slice(0, -20)],
  ['a torn element', log('<ecc_errors><volatile></ecc_errors>')],
  ['an entity of its own', log('<performance_state>&p;</performance_state>')],
  ['no end of depth', log('<a>'.repeat(50_000) + '</a>'.repeat(50_000))],
  ['processes that never end', log('<processes>'.repeat(100_000))],
])('%s is no log', (_, text) => {
  expect(parseLog(text)).toBeUndefined()
})
