"""What makes a prompt good: name -> module:symbol, loaded when asked for."""

OBJECTIVES = {"match": "pez.objectives.match:Match"}
