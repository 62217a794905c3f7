/** Entry of the window: services, stores, the frame. */
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import { z } from 'zod'
import App from './App.vue'
import { EngineClient } from './client'
import { linkEngine } from './engine-link'
import { setServices } from './services'
import { useEngine } from './stores/engine'
import { useNotices } from './stores/notices'
import { useView } from './stores/view'
import './theme.css'
import './base.css'

// Zod would otherwise compile validators with `new Function`, which the content security policy forbids and reports.
z.config({ jitless: true })

const shell = window.patchbay
const app = createApp(App)
app.use(createPinia())
app.config.errorHandler = (thrown) => {
  console.error(thrown)
  useNotices().report(thrown)
}

const engine = useEngine()
const client = new EngineClient({
  hardCancel: () => void shell.hardCancel().catch((thrown: unknown) => useNotices().report(thrown)),
  onStatus: engine.setStatus,
  onBadMessage: (error) => {
    console.error(error)
    useNotices().report(error)
  },
})
setServices({ engine: client, shell })
linkEngine(shell, client, engine)
useView().themeChoice = shell.launch().theme
app.mount('#app')
