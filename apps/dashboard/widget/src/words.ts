/** Every word of the widget, in the order of KEYS. One line a language: names of keys would be a third of the script. */
const KEYS = [
  'open', 'close', 'unread', 'message', 'send', 'attach', 'you', 'agent', 'typing', 'sending', 'sent', 'failed', 'offline', 'connecting', 'earlier', 'start',
  'required', 'email', 'phone', 'tooLarge', 'wrongType', 'tooFast', 'download', 'newTab', 'unavailable', 'log',
] as const
export type Words = Record<(typeof KEYS)[number], string>

const LANGUAGES: Record<string, string> = {
  en: 'Open chat|Close chat|unread messages|Your message|Send|Attach a file|You|Agent|is typing|Sending|Sent|Not sent|You are offline. Your messages will be sent as soon as you are back.|Connecting…|Show earlier messages|Start chat|Please fill this in.|Please enter an e-mail address.|Please enter a phone number.|The file is larger than 10 MB.|This kind of file cannot be sent.|That was fast. Sending goes on in a moment.|Download|opens in a new tab|The chat is not available right now.|Conversation',
  de: 'Chat öffnen|Chat schließen|ungelesene Nachrichten|Ihre Nachricht|Senden|Datei anhängen|Sie|Team|schreibt|Wird gesendet|Gesendet|Nicht gesendet|Sie sind offline. Ihre Nachrichten werden gesendet, sobald Sie wieder verbunden sind.|Verbindung wird hergestellt …|Frühere Nachrichten anzeigen|Chat beginnen|Bitte ausfüllen.|Bitte geben Sie eine E-Mail-Adresse ein.|Bitte geben Sie eine Telefonnummer ein.|Die Datei ist größer als 10 MB.|Diese Art von Datei kann nicht gesendet werden.|Das ging schnell. Gleich wird weiter gesendet.|Herunterladen|öffnet sich in einem neuen Tab|Der Chat ist gerade nicht verfügbar.|Unterhaltung',
  es: 'Abrir el chat|Cerrar el chat|mensajes sin leer|Tu mensaje|Enviar|Adjuntar un archivo|Tú|Agente|está escribiendo|Enviando|Enviado|No enviado|No tienes conexión. Tus mensajes se enviarán en cuanto vuelvas.|Conectando…|Mostrar mensajes anteriores|Empezar el chat|Rellena este campo.|Introduce una dirección de correo.|Introduce un número de teléfono.|El archivo supera los 10 MB.|Este tipo de archivo no se puede enviar.|Muy rápido. El envío sigue en un momento.|Descargar|se abre en una pestaña nueva|El chat no está disponible ahora mismo.|Conversación',
  fr: 'Ouvrir le chat|Fermer le chat|messages non lus|Votre message|Envoyer|Joindre un fichier|Vous|Conseiller|écrit|Envoi en cours|Envoyé|Non envoyé|Vous êtes hors ligne. Vos messages partiront dès votre retour.|Connexion…|Afficher les messages précédents|Commencer|Veuillez remplir ce champ.|Veuillez saisir une adresse e-mail.|Veuillez saisir un numéro de téléphone.|Le fichier dépasse 10 Mo.|Ce type de fichier ne peut pas être envoyé.|C’était rapide. L’envoi reprend dans un instant.|Télécharger|s’ouvre dans un nouvel onglet|Le chat n’est pas disponible pour le moment.|Conversation',
  it: 'Apri la chat|Chiudi la chat|messaggi non letti|Il tuo messaggio|Invia|Allega un file|Tu|Operatore|sta scrivendo|Invio in corso|Inviato|Non inviato|Sei offline. I messaggi partiranno appena torni in linea.|Connessione…|Mostra i messaggi precedenti|Inizia la chat|Compila questo campo.|Inserisci un indirizzo e-mail.|Inserisci un numero di telefono.|Il file supera i 10 MB.|Questo tipo di file non può essere inviato.|Troppo veloce. L’invio riprende tra un attimo.|Scarica|si apre in una nuova scheda|La chat non è disponibile in questo momento.|Conversazione',
  pt: 'Abrir o chat|Fechar o chat|mensagens não lidas|A sua mensagem|Enviar|Anexar um ficheiro|Você|Agente|está a escrever|A enviar|Enviada|Não enviada|Está offline. As mensagens serão enviadas assim que voltar.|A ligar…|Mostrar mensagens anteriores|Começar o chat|Preencha este campo.|Introduza um endereço de e-mail.|Introduza um número de telefone.|O ficheiro tem mais de 10 MB.|Este tipo de ficheiro não pode ser enviado.|Muito rápido. O envio continua dentro de momentos.|Transferir|abre num novo separador|O chat não está disponível neste momento.|Conversa',
}

/** The first of the wished languages that we speak, English else. */
export function pickLanguage(wishes: readonly (string | null | undefined)[]): string {
  const spoken = wishes.map((wish) => wish?.slice(0, 2).toLowerCase() ?? '')
  return spoken.find((language) => Object.hasOwn(LANGUAGES, language)) ?? 'en'
}

export function wordsOf(language: string): Words {
  const words = LANGUAGES[language]!.split('|')
  return Object.fromEntries(KEYS.map((key, index) => [key, words[index]])) as Words
}
