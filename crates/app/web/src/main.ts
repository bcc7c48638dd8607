/** Where the page begins. */

import { mount } from 'svelte';
import './styles/tokens.css';
import './styles/base.css';
import App from './App.svelte';
import { app } from './lib/app.svelte';
import { prefs } from './lib/prefs.svelte';

const target = document.getElementById('page');
if (target) {
  await prefs.start();
  // What the document begins with.
  target.replaceChildren();
  mount(App, { target });
  await app.start();
}
