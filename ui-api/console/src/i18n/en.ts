/** English, the catalogue the others are typed after. Errors of the API come in the API's own words. */
import { enBox } from './en-box.ts';
import { enCharts } from './en-charts.ts';
import { enHardware } from './en-hardware.ts';
import { enTransfer } from './en-transfer.ts';
import { enFrame } from './en-frame.ts';
import { enUpdates } from './en-updates.ts';
import { enVms } from './en-vms.ts';

export const en = { ...enFrame, ...enVms, ...enBox, ...enHardware, ...enCharts, ...enTransfer, ...enUpdates } as const;
