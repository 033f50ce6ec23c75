/** Languages the rules can answer in. */
export const LANGUAGES = ['en', 'de', 'es', 'fr', 'it', 'pt'] as const
export type Language = (typeof LANGUAGES)[number]

export const LEAD_QUESTIONS = ['name', 'email', 'phone', 'intent'] as const
export type LeadQuestion = (typeof LEAD_QUESTIONS)[number]

export type Phrases = {
  greeting: string
  /** Opens the first answer when something of ours follows. */
  hello: (business: string | undefined) => string
  ask: Record<LeadQuestion, string>
  thanks: string
  thanksName: (name: string) => string
  handover: string
  passOn: string
  noted: string
  goodbye: string
  refusal: string
  openNow: string
  closedNow: string
  opensNext: (day: string, time: string) => string
  hoursAre: string
  closedAllDay: string
}

/** Formal address where a language has one. The questions double as marks: a question found in the history was asked. */
export const PHRASES: Record<Language, Phrases> = {
  en: {
    greeting: 'Hello! How can we help you?',
    hello: (business) => (business ? `Hello, this is ${business}.` : 'Hello!'),
    ask: {
      name: 'May I have your name, please?',
      email: 'Which e-mail address can we reach you at?',
      phone: 'Which phone number can we reach you on?',
      intent: 'What can we do for you?',
    },
    thanks: 'Thank you.',
    thanksName: (name) => `Thank you, ${name}.`,
    handover: 'Thank you. A colleague will get back to you shortly.',
    passOn: 'I will pass your question on to a colleague.',
    noted: 'Thank you, I have added that for my colleague.',
    goodbye: 'Thank you for your message. Have a good day!',
    refusal: 'I am sorry, I cannot help with that here. Is there anything else I can do for you?',
    openNow: 'We are open right now.',
    closedNow: 'We are closed at the moment.',
    opensNext: (day, time) => `We are open again on ${day} at ${time}.`,
    hoursAre: 'Our opening hours:',
    closedAllDay: 'closed',
  },
  de: {
    greeting: 'Guten Tag! Wie können wir Ihnen helfen?',
    hello: (business) => (business ? `Guten Tag, hier ist ${business}.` : 'Guten Tag!'),
    ask: {
      name: 'Wie ist bitte Ihr Name?',
      email: 'Unter welcher E-Mail-Adresse können wir Sie erreichen?',
      phone: 'Unter welcher Telefonnummer können wir Sie erreichen?',
      intent: 'Worum geht es, was können wir für Sie tun?',
    },
    thanks: 'Vielen Dank.',
    thanksName: (name) => `Vielen Dank, ${name}.`,
    handover: 'Vielen Dank. Eine Kollegin oder ein Kollege meldet sich in Kürze bei Ihnen.',
    passOn: 'Ich gebe Ihre Frage an eine Kollegin oder einen Kollegen weiter.',
    noted: 'Danke, das habe ich für meine Kollegen notiert.',
    goodbye: 'Vielen Dank für Ihre Nachricht. Einen schönen Tag noch!',
    refusal: 'Es tut mir leid, dabei kann ich hier nicht helfen. Kann ich sonst etwas für Sie tun?',
    openNow: 'Wir haben gerade geöffnet.',
    closedNow: 'Wir haben im Moment geschlossen.',
    opensNext: (day, time) => `Ab ${day}, ${time} Uhr sind wir wieder für Sie da.`,
    hoursAre: 'Unsere Öffnungszeiten:',
    closedAllDay: 'geschlossen',
  },
  es: {
    greeting: '¡Hola! ¿En qué podemos ayudarle?',
    hello: (business) => (business ? `Hola, le saluda ${business}.` : '¡Hola!'),
    ask: {
      name: '¿Me dice su nombre, por favor?',
      email: '¿A qué correo electrónico podemos escribirle?',
      phone: '¿A qué número de teléfono podemos llamarle?',
      intent: '¿Qué podemos hacer por usted?',
    },
    thanks: 'Muchas gracias.',
    thanksName: (name) => `Muchas gracias, ${name}.`,
    handover: 'Gracias. Una persona de nuestro equipo le responderá en breve.',
    passOn: 'Trasladaré su pregunta a una persona de nuestro equipo.',
    noted: 'Gracias, lo he anotado para mi equipo.',
    goodbye: 'Gracias por su mensaje. ¡Que tenga un buen día!',
    refusal: 'Lo siento, en eso no puedo ayudarle aquí. ¿Puedo hacer algo más por usted?',
    openNow: 'Ahora mismo estamos abiertos.',
    closedNow: 'En este momento estamos cerrados.',
    opensNext: (day, time) => `Abrimos de nuevo el ${day} a las ${time}.`,
    hoursAre: 'Nuestro horario:',
    closedAllDay: 'cerrado',
  },
  fr: {
    greeting: 'Bonjour ! Comment pouvons-nous vous aider ?',
    hello: (business) => (business ? `Bonjour, ici ${business}.` : 'Bonjour !'),
    ask: {
      name: 'Quel est votre nom, s’il vous plaît ?',
      email: 'À quelle adresse e-mail pouvons-nous vous écrire ?',
      phone: 'À quel numéro de téléphone pouvons-nous vous joindre ?',
      intent: 'Que pouvons-nous faire pour vous ?',
    },
    thanks: 'Merci beaucoup.',
    thanksName: (name) => `Merci beaucoup, ${name}.`,
    handover: 'Merci. Une personne de notre équipe vous répondra sous peu.',
    passOn: 'Je transmets votre question à une personne de notre équipe.',
    noted: 'Merci, c’est noté pour mon équipe.',
    goodbye: 'Merci pour votre message. Bonne journée !',
    refusal: 'Je suis désolé, je ne peux pas vous aider sur ce point. Puis-je faire autre chose pour vous ?',
    openNow: 'Nous sommes ouverts en ce moment.',
    closedNow: 'Nous sommes fermés en ce moment.',
    opensNext: (day, time) => `Nous rouvrons ${day} à ${time}.`,
    hoursAre: 'Nos horaires :',
    closedAllDay: 'fermé',
  },
  it: {
    greeting: 'Buongiorno! Come possiamo aiutarla?',
    hello: (business) => (business ? `Buongiorno, qui ${business}.` : 'Buongiorno!'),
    ask: {
      name: 'Mi può dire il suo nome, per favore?',
      email: 'A quale indirizzo e-mail possiamo scriverle?',
      phone: 'A quale numero di telefono possiamo chiamarla?',
      intent: 'Che cosa possiamo fare per lei?',
    },
    thanks: 'Grazie mille.',
    thanksName: (name) => `Grazie mille, ${name}.`,
    handover: 'Grazie. Una persona del nostro team le risponderà a breve.',
    passOn: 'Passo la sua domanda a una persona del nostro team.',
    noted: 'Grazie, l’ho annotato per il mio team.',
    goodbye: 'Grazie per il suo messaggio. Buona giornata!',
    refusal: 'Mi dispiace, in questo non posso aiutarla qui. Posso fare altro per lei?',
    openNow: 'In questo momento siamo aperti.',
    closedNow: 'In questo momento siamo chiusi.',
    opensNext: (day, time) => `Riapriamo ${day} alle ${time}.`,
    hoursAre: 'I nostri orari:',
    closedAllDay: 'chiuso',
  },
  pt: {
    greeting: 'Olá! Como podemos ajudar?',
    hello: (business) => (business ? `Olá, aqui é ${business}.` : 'Olá!'),
    ask: {
      name: 'Pode dizer-me o seu nome, por favor?',
      email: 'Para que endereço de e-mail podemos escrever?',
      phone: 'Para que número de telefone podemos ligar?',
      intent: 'O que podemos fazer por si?',
    },
    thanks: 'Muito obrigado.',
    thanksName: (name) => `Muito obrigado, ${name}.`,
    handover: 'Obrigado. Uma pessoa da nossa equipa responderá em breve.',
    passOn: 'Vou passar a sua pergunta a uma pessoa da nossa equipa.',
    noted: 'Obrigado, anotei isso para a minha equipa.',
    goodbye: 'Obrigado pela sua mensagem. Tenha um bom dia!',
    refusal: 'Lamento, nisso não posso ajudar aqui. Posso fazer mais alguma coisa por si?',
    openNow: 'Neste momento estamos abertos.',
    closedNow: 'Neste momento estamos fechados.',
    opensNext: (day, time) => `Voltamos a abrir: ${day} às ${time}.`,
    hoursAre: 'O nosso horário:',
    closedAllDay: 'fechado',
  },
}
