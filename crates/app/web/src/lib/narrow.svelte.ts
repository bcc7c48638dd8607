/** Whether the screen shows one pane at a time, as the styles of the panes have it. */

import { MediaQuery } from 'svelte/reactivity';

export const narrow = new MediaQuery('(max-width: 719px)');
