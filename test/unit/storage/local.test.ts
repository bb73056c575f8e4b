import { describeVolumeDriverContract } from '../../contract/volume-driver.ts';
import { setupLocal } from '../../helpers/local-pool.ts';

describeVolumeDriverContract('local', setupLocal);
